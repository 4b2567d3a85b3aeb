-- How much waits.
-- Returns {entries of the queue, those under a lease, earliest due time of what is not leased or empty}.
local head = redis.call('ZRANGE', key('q'), 0, 0, 'WITHSCORES')
return {
  redis.call('HLEN', key('w')),
  redis.call('ZCOUNT', key('z'), '(' .. whole(now), '+inf'),
  head[2] or '',
}
