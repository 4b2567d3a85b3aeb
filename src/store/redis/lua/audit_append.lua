-- Appends to an audit log. `al`: newest hash by log; `ab`: records; `ax:<log>`: ids of one log; `ag`: ids of all.
-- ARGV: log (a merchant, or `-`), id (16 bytes), expected newest hash, new hash, record
-- Returns {'ok'} or {'audit'} (it has grown).
local kept = first_answer()
if kept then
  return kept
end
local log, id, tail, hash, record = take(), take(), take(), take(), take()
if (redis.call('HGET', key('al'), log) or '') ~= tail then
  return { 'audit' }
end
redis.call('HSET', key('al'), log, hash)
redis.call('HSET', key('ab'), id, record)
redis.call('ZADD', key('ax:' .. log), 0, id)
redis.call('ZADD', key('ag'), 0, id)
return remember({ 'ok' })
