-- Draws units of a budget that fills evenly; see RateBudget.draw.
-- The generic cell rate algorithm (ITU-T I.371): all that is kept is when the next unit is due, in milliseconds.
-- KEYS: budget
-- ARGV: interval_ms (between two units), allowance_ms (how much sooner than due a unit may be used), units
-- Returns {'drawn', microseconds until the first of them may be used}; below 0 when it might have been before

local interval, allowance, units = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local at = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000

local text = read('GET', KEYS[1])
local due = text and string.match(text, '^%d+%.%d+$') and tonumber(text) or 0
-- A minute and a thousand units ahead: nobody drew all that, this server's clock was set back.
if due < at or due > at + 60000 + 1000 * interval then
    due = at
end
local first = due - allowance
due = due + units * interval
redis.call('SET', KEYS[1], string.format('%.3f', due), 'PX', string.format('%.0f', math.ceil(due - at) + 1000))
return {'drawn', math.floor((first - at) * 1000)}
