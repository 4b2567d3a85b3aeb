-- Removes old idempotency keys, but none that is held.
-- ARGV: cutoff (Unix milliseconds), how many at the most
-- Returns how many went.
local cutoff, count = take(), num()
local HELD_MAX = 500
local gone = 0
local ids = redis.call('ZRANGEBYSCORE', key('ii'), '-inf', '(' .. cutoff, 'LIMIT', 0, count + HELD_MAX)
for _, id in ipairs(ids) do
  local has = redis.call('HMGET', key('i:' .. id), 'u', 's')
  if gone < count and (has[2] or tonumber(has[1] or 0) <= now) then
    redis.call('DEL', key('i:' .. id))
    redis.call('ZREM', key('ii'), id)
    gone = gone + 1
  end
end
return gone
