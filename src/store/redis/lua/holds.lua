-- Which lanes are held.
-- ARGV: lane…
-- Returns for each the hold's end and step, or two empty ones.
local rows = {}
while at < #ARGV do
  local lane = take()
  local ends = held_until(lane)
  rows[#rows + 1] = ends and whole(ends) or ''
  rows[#rows + 1] = ends and redis.call('HGET', key('hs'), lane) or ''
end
return rows
