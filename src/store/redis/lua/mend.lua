-- Puts work back that is in the queue's list and waits nowhere, and lanes that have lost their place: somebody removed
-- keys by hand. Work whose due time went with them is due now. Work of deleted merchants goes.
-- ARGV: cursor, how much to look at
-- Returns {next cursor, works put back, lanes put back, deleted merchants… (some, if they are very many)}; the cursor is 0
-- at the end.
local TOLD_MAX = 1000
local gone = redis.call('SMEMBERS', key('gone'))
local leaving = {}
for _, merchant in ipairs(gone) do
  leaving[merchant] = true
end
local page = redis.call('HSCAN', key('w'), take(), 'COUNT', take())
local works, lanes = 0, 0
for n = 1, #page[2], 2 do
  local work, what = page[2][n], cmsgpack.unpack(page[2][n + 1])
  local lane = what[1]
  if leaving[what[2]] then
    forget_work(work, what)
  elseif not redis.call('ZSCORE', key('z'), work) then
    if not redis.call('ZSCORE', lane_key(lane), work) then
      enqueue(work, lane, now)
      works = works + 1
    elseif not redis.call('ZSCORE', key(held_until(lane) and 'qh' or 'q'), lane) then
      lane_touch(lane)
      lanes = lanes + 1
    end
  end
end
return { page[1], works, lanes, unpack(gone, 1, math.min(#gone, TOLD_MAX)) }
