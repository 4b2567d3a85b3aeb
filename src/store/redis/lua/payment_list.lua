-- A page of payments, the highest number first. `px` has the chunks of 256 numbers that have payments.
-- ARGV: merchant, below which number (0: any), how many
-- Returns {number below which to go on (0: there are no more), number, versioned record, …}
local CHUNK, CHUNKS_SEEN_MAX = 256, 40
local merchant, below, count = take(), num(), num()
local reply = { 0 }
if not has_merchant(merchant) then
  return reply
end
local high = below == 0 and '+inf' or whole(math.floor((below - 1) / CHUNK))
for _ = 1, CHUNKS_SEEN_MAX do
  local chunk = redis.call('ZREVRANGEBYSCORE', key('px:' .. merchant), high, '-inf', 'LIMIT', 0, 1)[1]
  if not chunk then
    reply[1] = 0
    return reply
  end
  local low, top = chunk * CHUNK, chunk * CHUNK + CHUNK - 1
  if below > 0 and top >= below then
    top = below - 1
  end
  for number = top, low, -1 do
    local record = redis.call('HGET', payment_key(merchant, number), 'p')
    if record then
      reply[#reply + 1] = number
      reply[#reply + 1] = record
      if #reply > 2 * count then
        reply[1] = number
        return reply
      end
    end
  end
  reply[1] = low
  high = whole(chunk - 1)
end
return reply
