-- Drops all there is and refuses every generation handed out so far; see TokenStore.purge.
-- KEYS: record, lease, negative, memory (of generations)
-- ARGV: memory_ms, channel, name, sender
-- Returns the floor: the highest generation that is refused from now on

local record = read('HMGET', KEYS[1], 'gen') or {}
local _, lease_gen = holder(read('GET', KEYS[2]))
local memory = read('HMGET', KEYS[4], 'floor', 'high') or {}
local floor = math.max(
    now(),
    number(record[1]) or 0,
    lease_gen or 0,
    number(memory[1]) or 0,
    number(memory[2]) or 0
)
local text = string.format('%.0f', floor)
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
redis.call('HSET', KEYS[4], 'floor', text, 'high', text)
redis.call('PEXPIRE', KEYS[4], ARGV[1])
redis.pcall('PUBLISH', ARGV[2], ARGV[3] .. ' ' .. text .. ' purge ' .. ARGV[4])
return floor
