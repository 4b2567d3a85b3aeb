-- Gives leased work back unchanged, due when it was due before; a lane that was held as long as its lease lasts may be
-- tried again. Leases that are lost are passed over.
-- ARGV: work, token, …
-- Returns how many were given back.
local kept = first_answer()
if kept then
  return kept
end
local count = 0
while at < #ARGV do
  local work, token = take(), take()
  local what = work_of(work)
  local held_token, due = lease_of(work)
  if what and held_token == token then
    local ends = tonumber(redis.call('ZSCORE', key('z'), work) or nil)
    if due then
      dequeue(work, what[1])
      enqueue(work, what[1], due)
      redis.call('HDEL', key('t'), work)
    else
      -- Called off while it was leased.
      forget_work(work, what)
    end
    if ends and held_until(what[1]) == ends then
      redis.call('ZADD', key('h'), whole(now), what[1])
      lane_touch(what[1])
    end
    count = count + 1
  end
end
return remember(count)
