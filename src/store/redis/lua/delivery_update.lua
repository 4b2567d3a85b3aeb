-- Changes a delivery on a person's behalf. While an attempt is under way its lease stays: the new due time waits beside
-- it, for when the lease ends without a result.
-- ARGV: merchant, number, id (16 bytes), lane, version it was loaded with, due or empty, record
-- Returns {'ok'}, {'delivery'} (another version) or {'none'}.
local kept = first_answer()
if kept then
  return kept
end
local merchant, number, id, lane, loaded, due, record = take(), num(), take(), take(), num(), tonumber(take()), take()
local work, payment = 'd' .. id, payment_key(merchant, number)
local version = version_of(redis.call('HGET', payment, work))
if not version or not has_merchant(merchant) then
  return { 'none' }
end
if version ~= loaded then
  return { 'delivery' }
end
redis.call('HSET', payment, work, whole(loaded + 1) .. ':' .. record)
local ends = tonumber(redis.call('ZSCORE', key('z'), work) or nil)
if ends and ends > now then
  local token, _, owner = lease_of(work)
  note_lease(work, token, due, owner)
elseif due then
  redis.call('HSET', key('w'), work, cmsgpack.pack({ lane, merchant, number }))
  dequeue(work, lane)
  enqueue(work, lane, due)
else
  forget_work(work, { lane })
end
return remember({ 'ok' })
