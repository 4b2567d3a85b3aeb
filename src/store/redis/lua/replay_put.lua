-- A new or changed replay. `rp:<merchant>`: id to versioned record; `rx:<merchant>`: ids in order.
-- ARGV: merchant, id (16 bytes), version it was loaded with (0: new), record; then the job that does it, if that is to be
--       queued with it: work, lane, record
-- Returns {'ok', version}, {'replay'} (another version) or {'none'} (no such merchant).
local kept = first_answer()
if kept then
  return kept
end
local merchant, id, loaded, record = take(), take(), num(), take()
if not has_merchant(merchant) then
  return { 'none' }
end
if (version_of(redis.call('HGET', key('rp:' .. merchant), id)) or 0) ~= loaded then
  return { 'replay' }
end
redis.call('HSET', key('rp:' .. merchant), id, whole(loaded + 1) .. ':' .. record)
redis.call('ZADD', key('rx:' .. merchant), 0, id)
local work, lane, job = take(), take(), take()
if work then
  redis.call('HSET', key('w'), work, cmsgpack.pack({ lane, merchant, 0, job }))
  enqueue(work, lane, now)
end
return remember({ 'ok', loaded + 1 })
