-- What every script begins with.

-- Reads a key. What is of a type that no script here writes is dropped: it would be in the way for ever.
local function read(command, key, ...)
    local answer = redis.pcall(command, key, ...)
    if type(answer) == 'table' and answer.err then
        if string.find(answer.err, 'WRONGTYPE', 1, true) then
            redis.call('DEL', key)
            return nil
        end
        return redis.call(command, key, ...) -- raises what went wrong
    end
    return answer
end

-- Returns the number that a text of digits means, or nil; beyond 15 digits a number here is no longer exact.
local function number(text)
    return text and #text <= 15 and string.match(text, '^%d+$') and tonumber(text) or nil
end

-- Returns who holds a lease, and under which generation.
local function holder(lease)
    if lease then
        local gen, owner = string.match(lease, '^(%d+) (.*)$')
        return owner, number(gen)
    end
end

-- Returns this server's time in milliseconds.
local function now()
    local time = redis.call('TIME')
    return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
