-- How much waits.
-- Returns {entries of the queue, those under a lease, earliest due time or empty, lanes that are held}; the due time: of the LOOKED_AT_MAX lanes whose
-- turn is next and the LOOKED_AT_MAX leases that end first.
local LOOKED_AT_MAX = 500
local oldest
local function older(due)
  if due and (not oldest or due < oldest) then
    oldest = due
  end
end
for _, lane in ipairs(redis.call('ZRANGE', key('q'), 0, LOOKED_AT_MAX - 1)) do
  older(lane_head(lane))
end
for _, lane in ipairs(redis.call('ZRANGE', key('qh'), 0, LOOKED_AT_MAX - 1)) do
  older(lane_head(lane))
end
for _, work in ipairs(redis.call('ZRANGE', key('z'), 0, LOOKED_AT_MAX - 1)) do
  local _, due = lease_of(work)
  older(due)
end
return {
  redis.call('HLEN', key('w')),
  redis.call('ZCOUNT', key('z'), '(' .. whole(now), '+inf'),
  oldest and whole(oldest) or '',
  redis.call('ZCARD', key('h')),
}
