-- Leaves a note under an idempotency key that has no answer, if the hold is still the caller's.
-- ARGV: key (16 bytes), hold, note
-- Returns {'ok'} or {'hold'} (the key is another's, or free, or answered).
local kept = first_answer()
if kept then
  return kept
end
local name, hold, note = key('i:' .. take()), take(), take()
local has = redis.call('HMGET', name, 'h', 's')
if has[1] ~= hold or has[2] then
  return { 'hold' }
end
redis.call('HSET', name, 'n', note)
return remember({ 'ok' })
