-- How much waits.
-- Returns {entries of the queue, those under a lease, earliest due time or empty, lanes that are held, when the oldest
-- delivery was made or empty}. What waits in a held lane, or is tried there, is due when the hold ends. A lane counts as
-- held until the hold's end, and after it while something waits in it; of those whose hold ended LOOKED_AT_MAX are looked
-- at. The times: of the LOOKED_AT_MAX lanes whose turn is next, as many that are held, and the LOOKED_AT_MAX leases
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
local function look_at_lane(lane)
  for _, work in ipairs(redis.call('ZRANGE', lane_key(lane), 0, ENDS - 1)) do
    look(work)
  end
  for _, work in ipairs(redis.call('ZREVRANGE', lane_key(lane), 0, ENDS - 1)) do
    look(work)
  end
end
for _, lane in ipairs(redis.call('ZRANGE', key('q'), 0, LOOKED_AT_MAX - 1)) do
  older(lane_head(lane))
  look_at_lane(lane)
end
local waiting = redis.call('ZRANGE', key('qh'), 0, LOOKED_AT_MAX - 1, 'WITHSCORES')
for n = 1, #waiting, 2 do
  older(tonumber(waiting[n + 1]))
  look_at_lane(waiting[n])
end
local any_hold = redis.call('EXISTS', key('h')) == 1
for _, work in ipairs(redis.call('ZRANGE', key('z'), 0, LOOKED_AT_MAX - 1)) do
  local _, due = lease_of(work)
  local what = due and any_hold and work_of(work)
  older(due and math.max(due, what and held_until(what[1]) or due))
  look(work)
end
local open = redis.call('ZCOUNT', key('h'), '(' .. whole(now), '+inf')
local ended = redis.call('ZREVRANGEBYSCORE', key('h'), whole(now), '-inf', 'LIMIT', 0, LOOKED_AT_MAX)
for _, lane in ipairs(ended) do
  if redis.call('ZSCORE', key('qh'), lane) then
    open = open + 1
  end
end
return {
  redis.call('HLEN', key('w')),
  redis.call('ZCOUNT', key('z'), '(' .. whole(now), '+inf'),
  oldest and whole(oldest) or '',
  open,
  made and whole(made) or '',
}
