-- Reads the clock.
-- Returns the time, Unix milliseconds.
return now
