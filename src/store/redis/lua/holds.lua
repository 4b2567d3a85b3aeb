-- Which lanes are held.
-- ARGV: lane…
-- Returns for each the hold's end, its step, since when, the end of the lease of what was tried last (or empty), and how
-- much waits; or five empty ones.
local rows = {}
while at < #ARGV do
  local lane = take()
  local ends = held_until(lane)
  local since, tried = hold_life(lane)
  local row = { '', '', '', '', '' }
  if ends then
    row = { whole(ends), redis.call('HGET', key('hs'), lane) or '', since or '', tried or '',
      whole(redis.call('ZCARD', lane_key(lane))) }
  end
  for _, part in ipairs(row) do
    rows[#rows + 1] = part
  end
end
return rows
