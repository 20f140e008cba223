-- Stores a value unless there is one with the same or a higher generation; see TokenStore.commit.
-- KEYS: record, lease, negative, memory (of generations)
-- ARGV: owner, gen, value, lifetime_ms, left_ms, memory_ms, key (that it is sealed with), channel, name, sender
-- Returns {'committed'} | {'hit', gen, lifetime_ms, left_ms, value} | {'purged'}

local function release()
    if holder(read('GET', KEYS[2])) == ARGV[1] then
        redis.call('DEL', KEYS[2])
    end
end

local mine = tonumber(ARGV[2])

local record = read('HMGET', KEYS[1], 'gen', 'lifetime', 'value') or {}
local gen, lifetime, value = number(record[1]), number(record[2]), record[3]
if gen and lifetime and value and gen >= mine then
    local left = redis.call('PTTL', KEYS[1])
    if left >= 0 then
        release()
        return {'hit', gen, lifetime, math.min(left, lifetime), value}
    end
end

local memory = read('HMGET', KEYS[4], 'floor', 'high') or {}
if mine <= (number(memory[1]) or 0) then
    release()
    return {'purged'}
end

local left = math.min(tonumber(ARGV[5]), tonumber(ARGV[4]))
if left > 0 then
    redis.call('DEL', KEYS[1])
    redis.call('HSET', KEYS[1], 'gen', ARGV[2], 'lifetime', ARGV[4], 'value', ARGV[3], 'key', ARGV[7])
    redis.call('PEXPIRE', KEYS[1], string.format('%.0f', left))
end
if mine > (number(memory[2]) or 0) then
    redis.call('HSET', KEYS[4], 'high', ARGV[2])
    redis.call('PEXPIRE', KEYS[4], ARGV[6])
end
redis.call('DEL', KEYS[3])
release()
redis.pcall('PUBLISH', ARGV[8], ARGV[9] .. ' ' .. ARGV[2] .. ' commit ' .. ARGV[10] .. ' ' .. ARGV[7])
return {'committed'}
