-- Gives the lease back and keeps a failure for everyone, if the caller holds the lease; see TokenStore.fail.
-- KEYS: record, lease, negative, memory (of generations)
-- ARGV: owner, kind, ttl_ms, channel, name, sender
-- Returns 1, or 0 when the caller does not hold the lease

if holder(read('GET', KEYS[2])) ~= ARGV[1] then
    return 0
end
redis.call('DEL', KEYS[2])
if tonumber(ARGV[3]) > 0 then
    redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[3])
end
redis.pcall('PUBLISH', ARGV[4], ARGV[5] .. ' 0 fail ' .. ARGV[6])
return 1
