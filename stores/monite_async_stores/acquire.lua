-- Asks for a value or for the right to make one; see TokenStore.acquire.
-- KEYS: record, lease, negative, memory (of generations)
-- ARGV: owner, lease_ms, bad_gen, min_left_ms, memory_ms
-- Returns {'hit', gen, lifetime_ms, left_ms, value} | {'negative', kind, left_ms} | {'busy', left_ms} | {'granted', gen}

local owner, bad_gen = ARGV[1], tonumber(ARGV[3])

local record = read('HMGET', KEYS[1], 'gen', 'lifetime', 'value') or {}
local gen, lifetime, value = number(record[1]), number(record[2]), record[3]
if gen or lifetime or value then
    local left = redis.call('PTTL', KEYS[1])
    if not (gen and lifetime and value) or left < 0 then
        redis.call('DEL', KEYS[1]) -- half a record, or one that would live for ever
    else
        left = math.min(left, lifetime)
        if gen > bad_gen and left > tonumber(ARGV[4]) then
            return {'hit', gen, lifetime, left, value}
        end
    end
end

local kind = read('GET', KEYS[3])
if kind then
    local left = redis.call('PTTL', KEYS[3])
    if left > 0 then
        return {'negative', kind, left}
    end
    redis.call('DEL', KEYS[3])
end

local other, other_gen = holder(read('GET', KEYS[2]))
if other and other ~= owner then
    local left = redis.call('PTTL', KEYS[2])
    if left > 0 then
        return {'busy', left}
    end
end

local memory = read('HMGET', KEYS[4], 'floor', 'high') or {}
local granted = math.max(
    now(),
    bad_gen + 1,
    (gen or 0) + 1,
    (other_gen or 0) + 1,
    (number(memory[1]) or 0) + 1,
    (number(memory[2]) or 0) + 1
)
local text = string.format('%.0f', granted)
redis.call('SET', KEYS[2], text .. ' ' .. owner, 'PX', ARGV[2])
redis.call('HSET', KEYS[4], 'high', text)
redis.call('PEXPIRE', KEYS[4], ARGV[5])
return {'granted', granted}
