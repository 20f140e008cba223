-- Draws units of a budget that fills evenly; see RateBudget.draw.
-- The generic cell rate algorithm (ITU-T I.371): all that is kept is when the next unit is due, in milliseconds.
-- KEYS: budget
-- ARGV: interval_ms (between two units), allowance_ms (how much sooner than due a unit may be used), units
-- Returns {'drawn', units, microseconds until the first of them}; below 0 when it might have been used before

local HORIZON = 250 -- what one caller draws at once comes within this time, so that nobody waits for a caller's slice
local LONGEST = 60000 -- nobody is that far ahead: this server's clock was set back

local interval, allowance, units = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local at = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000

local text = read('GET', KEYS[1])
local due = text and string.match(text, '^%d+%.%d+$') and tonumber(text) or 0
if due < at or due > at + LONGEST then
    due = at
end
local first = due - allowance
local room = math.floor((at + HORIZON - math.max(first, at)) / interval) + 1
if first < at then
    room = room + math.floor((at - first) / interval)
end
units = math.max(1, math.min(units, room))
due = due + units * interval
redis.call('SET', KEYS[1], string.format('%.3f', due), 'PX', string.format('%.0f', math.ceil(due - at) + 1000))
return {'drawn', units, math.floor((first - at) * 1000)}
