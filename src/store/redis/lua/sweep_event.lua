-- Removes an old event with its deliveries and attempts, unless one of them waits, or the payment's records are other
-- than when it was decided. The event goes last, when all its deliveries may go in this call.
-- ARGV: merchant, number, count of the payment's fields, event's id (16 bytes), how many records may go, count of
--       notifications that lean on it: id, new record that does not…; ids of its deliveries…
-- Returns how many records went.
local merchant, number, fields, event, most = take(), num(), num(), take(), num()
local leaning = {}
for _ = 1, num() do
  leaning[#leaning + 1] = { take(), take() }
end
local payment, first, gone = payment_key(merchant, number), at, 0
if redis.call('HLEN', payment) ~= fields then
  return 0
end
while at < #ARGV do
  if redis.call('HEXISTS', key('w'), 'd' .. take()) == 1 then
    return 0
  end
end
at = first
while at < #ARGV and gone < most do
  local id = take()
  redis.call('HDEL', payment, 'd' .. id, 'a' .. id)
  index_remove(key('dx:' .. merchant), id, number)
  gone = gone + 1
end
if gone < most then
  for _, note in ipairs(leaning) do
    redis.call('HSET', payment, 'n' .. note[1], note[2])
  end
  redis.call('HDEL', payment, 'e' .. event)
  index_remove(key('ex:' .. merchant), event, number)
  gone = gone + 1
end
return gone
