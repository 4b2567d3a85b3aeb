-- Removes an old payment with what finds it, unless its records are other than when it was decided, or a job is about it.
-- ARGV: merchant, number, count of its fields, its version
-- Returns how many went: 0 or 1.
local CHUNK, LINK = 256, 16
local merchant, number, fields, version = take(), num(), num(), num()
local payment = payment_key(merchant, number)
if redis.call('HLEN', payment) ~= fields or version_of(redis.call('HGET', payment, 'p')) ~= version then
  return 0
end
if redis.call('HEXISTS', key('wn'), about_payment(merchant, number)) == 1 then
  return 0
end
local links = redis.call('HGET', payment, 'l') or ''
for from = 1, #links, LINK do
  redis.call('HDEL', key('l:' .. merchant), string.sub(links, from, from + LINK - 1))
end
redis.call('HDEL', payment, 'p', 'l')
local chunk = whole(math.floor(number / CHUNK))
if redis.call('HINCRBY', key('pc:' .. merchant), chunk, -1) <= 0 then
  redis.call('HDEL', key('pc:' .. merchant), chunk)
  redis.call('ZREM', key('px:' .. merchant), chunk)
end
return 1
