-- Takes an idempotency key. `i:<key>`: f(ingerprint), h(old: who may note and answer), u(ntil when it is held), n(ote),
-- s(tatus) and b(ody) once it is done; `ii`: keys by the time of their making.
-- ARGV: key (16 bytes), fingerprint, the new hold, milliseconds to hold it
-- Returns {'fresh'}, {'running'}, {'mismatch'}, {'done', status, body} or {'broken', note}.
local kept = first_answer()
if kept then
  return kept
end
local id, fingerprint, hold, span = take(), take(), take(), num()
local name = key('i:' .. id)
local has = redis.call('HMGET', name, 'f', 'u', 's', 'b', 'n')
local held = has[1] and tonumber(has[2]) > now
if has[1] and (has[3] or has[5] or held) then
  if has[1] ~= fingerprint then
    return { 'mismatch' }
  end
  if has[3] then
    return { 'done', tonumber(has[3]), has[4] }
  end
  return held and { 'running' } or { 'broken', has[5] }
end
redis.call('HSET', name, 'f', fingerprint, 'h', hold, 'u', whole(now + span))
redis.call('ZADD', key('ii'), whole(now), id)
return remember({ 'fresh' })
