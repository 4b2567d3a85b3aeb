-- A new or changed replay. `rp:<merchant>`: id to versioned record; `rx:<merchant>`: ids in order.
-- ARGV: merchant, id (16 bytes), version it was loaded with (0: new), record
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
return remember({ 'ok', loaded + 1 })
