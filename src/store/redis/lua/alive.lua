-- Notes that an owner of leases lives, and ends those of its leases that it does not know of: a claim or a commit whose
-- answer was lost for good leaves such. The next claim finds their work.
-- ARGV: owner, milliseconds of its leases, time at which what it has in hand was written down, or empty; tokens of that…
-- Returns the time, Unix milliseconds.
local UNKNOWN_MS, LOOK_MAX = 10000, 5000
local owner, lease_ms, as_of = take(), num(), tonumber(take())
local since, last = owner_life(redis.call('HGET', key('o'), owner))
if not since or now - last > GAP_MS or now < last then
  since = now
end
redis.call('HSET', key('o'), owner, whole(since) .. '|' .. whole(now))
if as_of then
  local held = {}
  while at < #ARGV do
    held[take()] = true
  end
  local before = whole(as_of + lease_ms - UNKNOWN_MS)
  for _, work in ipairs(redis.call('ZRANGEBYSCORE', key('z'), '(' .. whole(now), before, 'LIMIT', 0, LOOK_MAX)) do
    local token, _, holder = lease_of(work)
    if holder == owner and not held[token] then
      local what, ends = work_of(work), tonumber(redis.call('ZSCORE', key('z'), work))
      if what and held_until(what[1]) == ends then
        -- Held only for as long as this lease lasts: another entry may be tried.
        redis.call('ZADD', key('h'), whole(now), what[1])
      end
      wait_again(work)
    end
  end
end
return now
