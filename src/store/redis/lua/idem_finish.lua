-- Keeps the answer for an idempotency key, or frees the key, if the hold is still the caller's. An answer that was given
-- stays.
-- ARGV: key (16 bytes), hold, status (0: free it), body
-- Returns {'ok'} or {'hold'} (the key is another's, or free).
local kept = first_answer()
if kept then
  return kept
end
local id, hold, status, body = take(), take(), num(), take()
local name = key('i:' .. id)
local has = redis.call('HMGET', name, 'h', 's')
if has[1] ~= hold then
  return { 'hold' }
end
if has[2] then
  return { 'ok' }
end
if status == 0 then
  redis.call('DEL', name)
  redis.call('ZREM', key('ii'), id)
else
  redis.call('HSET', name, 's', whole(status), 'b', body)
end
return remember({ 'ok' })
