-- Takes an idempotency key. `i:<key>`: f(ingerprint), u(ntil when it is held), s(tatus) and b(ody) once it is done;
-- `ii`: keys by the time of their making.
-- ARGV: key (16 bytes), fingerprint, milliseconds to hold it
-- Returns {'fresh'}, {'running'}, {'mismatch'} or {'done', status, body}.
local kept = first_answer()
if kept then
  return kept
end
local id, fingerprint, hold = take(), take(), num()
local name = key('i:' .. id)
local has = redis.call('HMGET', name, 'f', 'u', 's', 'b')
if has[1] and (has[3] or tonumber(has[2]) > now) then
  if has[1] ~= fingerprint then
    return { 'mismatch' }
  end
  if has[3] then
    return { 'done', tonumber(has[3]), has[4] }
  end
  return { 'running' }
end
redis.call('HSET', name, 'f', fingerprint, 'u', whole(now + hold))
redis.call('ZADD', key('ii'), whole(now), id)
return remember({ 'fresh' })
