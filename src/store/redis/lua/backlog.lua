-- How much waits.
-- Returns {entries of the queue, those under a lease, earliest due time or empty, lanes that are held, when the oldest delivery was made or
-- empty}; the times: of the LOOKED_AT_MAX lanes whose turn is next, as many that are held, and the LOOKED_AT_MAX leases
-- that end first. Of a lane the first and last ENDS entries are looked at: what has been tried longest waits longest.
local LOOKED_AT_MAX, ENDS = 500, 8
local oldest, made
local function older(due)
  if due and (not oldest or due < oldest) then
    oldest = due
  end
end
-- A delivery's id begins with the time of its making.
local function look(work)
  local at = string.sub(work, 1, 1) == 'd' and struct.unpack('>I6', work, 2)
  if at and (not made or at < made) then
    made = at
  end
end
for _, row in ipairs({ 'q', 'qh' }) do
  for _, lane in ipairs(redis.call('ZRANGE', key(row), 0, LOOKED_AT_MAX - 1)) do
    older(lane_head(lane))
    for _, work in ipairs(redis.call('ZRANGE', lane_key(lane), 0, ENDS - 1)) do
      look(work)
    end
    for _, work in ipairs(redis.call('ZREVRANGE', lane_key(lane), 0, ENDS - 1)) do
      look(work)
    end
  end
end
for _, work in ipairs(redis.call('ZRANGE', key('z'), 0, LOOKED_AT_MAX - 1)) do
  local _, due = lease_of(work)
  older(due)
  look(work)
end
return {
  redis.call('HLEN', key('w')),
  redis.call('ZCOUNT', key('z'), '(' .. whole(now), '+inf'),
  oldest and whole(oldest) or '',
  redis.call('ZCARD', key('h')),
  made and whole(made) or '',
}
