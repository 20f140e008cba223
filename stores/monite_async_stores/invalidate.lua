-- Drops the value if it has exactly this generation, and tells everyone either way; see TokenStore.invalidate.
-- KEYS: record, lease, negative, memory (of generations)
-- ARGV: gen, memory_ms, channel, name, sender
-- Returns 1 when it was dropped, else 0

local dropped = 0
local mine = tonumber(ARGV[1])
local gen = (read('HMGET', KEYS[1], 'gen') or {})[1]
if gen == ARGV[1] then
    redis.call('DEL', KEYS[1])
    dropped = 1
end
if not gen or gen == ARGV[1] then
    -- It must not be handed out again, even if this server's clock was set back since; and whoever finds no record must
    -- be able to tell that it was dropped, and not lost.
    local memory = read('HMGET', KEYS[4], 'high') or {}
    if mine > (number(memory[1]) or 0) then
        redis.call('HSET', KEYS[4], 'high', ARGV[1])
    end
    redis.call('PEXPIRE', KEYS[4], ARGV[2])
end
redis.pcall('PUBLISH', ARGV[3], ARGV[4] .. ' ' .. ARGV[1] .. ' invalid ' .. ARGV[5])
return dropped
