-- Holds a lane, or lifts the hold.
-- ARGV: lane, end of the hold or `lift`, its step
-- Returns 1.
local kept = first_answer()
if kept then
  return kept
end
local lane, ends, step = take(), take(), take()
hold_lane(lane, ends, step)
return remember(1)
