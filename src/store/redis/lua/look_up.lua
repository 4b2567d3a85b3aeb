-- Payments that a notification may be about.
-- ARGV: merchant, count of links, links (16 bytes each)…, count of numbers, numbers…
-- Returns {version of the configuration (0: none), {number, payment} or nil for each link, payment or nil for each
-- number}.
local merchant = take()
local reply = { tonumber(redis.call('HGET', key('c:' .. merchant), 'version') or 0) }
for _ = 1, num() do
  local number = redis.call('HGET', key('l:' .. merchant), take())
  local payment = number and redis.call('HGET', payment_key(merchant, number), 'p')
  reply[#reply + 1] = payment and { tonumber(number), payment } or false
end
for _ = 1, num() do
  reply[#reply + 1] = redis.call('HGET', payment_key(merchant, num()), 'p')
end
return reply
