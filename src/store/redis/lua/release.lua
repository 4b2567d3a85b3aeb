-- Gives leased work back unchanged, due when it was due before. Leases that are lost are passed over.
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
    if due then
      dequeue(work, what[1])
      enqueue(work, what[1], due)
      redis.call('HDEL', key('t'), work)
    else
      -- Called off while it was leased.
      forget_work(work, what)
    end
    count = count + 1
  end
end
return remember(count)
