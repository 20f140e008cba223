-- Puts a value that was sealed anew in place of the same value, unless it has changed since; its life stays.
-- KEYS: record, lease, negative, memory (of generations)
-- ARGV: old value, new value, key (that the new one is sealed with)
-- Returns 1, or 0 when it has changed

if (read('HMGET', KEYS[1], 'value') or {})[1] ~= ARGV[1] then
    return 0
end
redis.call('HSET', KEYS[1], 'value', ARGV[2], 'key', ARGV[3])
return 1
