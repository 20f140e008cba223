-- Drops the value if it has exactly this generation, and tells everyone either way; see TokenStore.invalidate.
-- KEYS: record, lease, negative, memory (of generations)
-- ARGV: gen, memory_ms, channel, name, sender
-- Returns 1 when it was dropped, else 0

local dropped = 0
local gen = read('HMGET', KEYS[1], 'gen')
if gen and gen[1] == ARGV[1] then
    redis.call('DEL', KEYS[1])
    dropped = 1
    -- Its generation must not be handed out again, even if this server's clock was set back since.
    local memory = read('HMGET', KEYS[4], 'high') or {}
    if tonumber(ARGV[1]) > (number(memory[1]) or 0) then
        redis.call('HSET', KEYS[4], 'high', ARGV[1])
    end
    redis.call('PEXPIRE', KEYS[4], ARGV[2])
end
redis.pcall('PUBLISH', ARGV[3], ARGV[4] .. ' ' .. ARGV[1] .. ' invalid ' .. ARGV[5])
return dropped
