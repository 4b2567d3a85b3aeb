-- Leaves a note under an idempotency key that is held and has no answer.
-- ARGV: key (16 bytes), note
-- Returns 1.
local kept = first_answer()
if kept then
  return kept
end
local name, note = key('i:' .. take()), take()
local has = redis.call('HMGET', name, 'f', 's')
if has[1] and not has[2] then
  redis.call('HSET', name, 'n', note)
end
return remember(1)
