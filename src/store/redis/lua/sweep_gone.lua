-- Removes records of deleted merchants, some at a time, if no work of theirs is in the queue any more.
-- ARGV: how many at the most, then merchants without work…
-- Returns how many went, or -1 when there are deleted merchants, and only others than those.
local CHUNK, most, gone = 256, num(), 0
local merchant
while at < #ARGV and not merchant do
  local cleared = take()
  merchant = redis.call('SISMEMBER', key('gone'), cleared) == 1 and cleared
end
if not merchant then
  return redis.call('EXISTS', key('gone')) == 1 and -1 or 0
end
for _, index in ipairs({ 'nx', 'ex', 'dx' }) do
  for _, member in ipairs(index_page(key(index .. ':' .. merchant), 'old', '', most - gone)) do
    local id, number = string.sub(member, 1, 16), struct.unpack('>I4', member, 17)
    local what = index == 'dx' and work_of('d' .. id)
    if what then
      forget_work('d' .. id, what)
    end
    redis.call('UNLINK', payment_key(merchant, number))
    index_remove(key(index .. ':' .. merchant), id, number)
    gone = gone + 1
  end
  if gone >= most then
    return gone
  end
end
local chunk = redis.call('ZRANGE', key('px:' .. merchant), 0, 0)[1]
if chunk then
  for number = chunk * CHUNK, chunk * CHUNK + CHUNK - 1 do
    redis.call('UNLINK', payment_key(merchant, number))
  end
  redis.call('ZREM', key('px:' .. merchant), chunk)
  return gone + 1
end
for _, hour in ipairs(redis.call('ZRANGE', key('th:' .. merchant), 0, -1)) do
  redis.call('UNLINK', key('t:' .. merchant .. ':' .. hour))
end
redis.call('UNLINK', key('pc:' .. merchant), key('l:' .. merchant), key('th:' .. merchant))
redis.call('SREM', key('gone'), merchant)
return gone + 1
