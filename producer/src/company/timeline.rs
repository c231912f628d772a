//! From the position of a message in the run to the moment at which its sale is made.
//!
//! position (0, 1, 2, …) ──► Timeline ──► Moment (microseconds, how busy it is)
//!
//! Owns event times: a window of days filled along the company's curves, days that follow one
//! another without end, or the clock. Within a window time never goes back; lateness is added
//! by `till`. The same position gives the same moment, however the run is cut into batches.

use std::sync::Arc;

use super::calendar::{Bustle, Calendar, HALF_HOUR_US};
use crate::clock::Clock;

/// Where event times come from.
#[derive(Debug, Clone)]
pub enum EventTimes {
    /// As the clock shows.
    Live(Arc<dyn Clock>),
    /// All `sales` spread over `[start_us, end_us)` along the company's curves.
    Spread {
        /// First moment, microseconds since the epoch, on a half hour.
        start_us: i64,
        /// End of the window, exclusive.
        end_us: i64,
        /// Messages in the window.
        sales: u64,
    },
    /// From `start_us` on at the company's own volume; the run ends with the window, if it has an
    /// end.
    Flowing {
        /// First moment, microseconds since the epoch, on a half hour.
        start_us: i64,
        /// End of the window, exclusive.
        end_us: Option<i64>,
        /// Sales of an average day.
        daily_sales: f64,
    },
}

/// When a sale is made, and how busy the company is then.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Microseconds since the epoch, UTC.
    pub us: i64,
    /// What outlets sell at that time.
    pub bustle: Bustle,
}

/// Walks through event times.
#[derive(Debug)]
pub struct Timeline {
    calendar: Calendar,
    times: EventTimes,
    /// Messages per average day.
    sales_per_mass: f64,
    slot: Slot,
}

/// The half hour in which the walk stands. Positions `[first, end)` fall into it.
#[derive(Debug, Clone, Copy)]
struct Slot {
    start_us: i64,
    bustle: Bustle,
    first: f64,
    end: f64,
}

impl Timeline {
    /// Starts at the first moment.
    pub fn new(times: EventTimes) -> Self {
        let calendar = Calendar::new();
        let (start_us, sales_per_mass) = match &times {
            EventTimes::Live(clock) => (floor(clock.wall_us()), 0.0),
            EventTimes::Flowing {
                start_us,
                daily_sales,
                ..
            } => (*start_us, *daily_sales),
            EventTimes::Spread {
                start_us,
                end_us,
                sales,
            } => (
                *start_us,
                *sales as f64 / mass(&calendar, *start_us, *end_us),
            ),
        };
        let bustle = calendar.at(start_us);
        let end = bustle.total() * sales_per_mass;
        Self {
            calendar,
            times,
            sales_per_mass,
            slot: Slot {
                start_us,
                bustle,
                first: 0.0,
                end,
            },
        }
    }

    /// The moment of a position, or `None` when the window is over. Positions must not decrease
    /// from call to call; the fraction says where between two messages.
    pub fn at(&mut self, position: f64) -> Option<Moment> {
        let end_us = match &self.times {
            EventTimes::Live(clock) => {
                let us = clock.wall_us();
                if floor(us) != self.slot.start_us {
                    self.slot.start_us = floor(us);
                    self.slot.bustle = self.calendar.at(us);
                }
                return Some(Moment {
                    us,
                    bustle: self.slot.bustle,
                });
            }
            EventTimes::Spread { end_us, .. } => Some(*end_us),
            EventTimes::Flowing { end_us, .. } => *end_us,
        };
        let is_spread = matches!(self.times, EventTimes::Spread { .. });
        while position >= self.slot.end {
            let next_us = self.slot.start_us + HALF_HOUR_US;
            if end_us.is_some_and(|end| next_us >= end) {
                if !is_spread {
                    return None;
                }
                // Rounding alone can lead past the last half hour of a spread window.
                return Some(Moment {
                    us: next_us - 1,
                    bustle: self.slot.bustle,
                });
            }
            let bustle = self.calendar.at(next_us);
            let first = self.slot.end;
            let end = first + bustle.total() * self.sales_per_mass;
            self.slot = Slot {
                start_us: next_us,
                bustle,
                first,
                end,
            };
        }
        let part = (position - self.slot.first) / (self.slot.end - self.slot.first);
        let us = self.slot.start_us + (part.max(0.0) * HALF_HOUR_US as f64) as i64;
        Some(Moment {
            us: us.min(self.slot.start_us + HALF_HOUR_US - 1),
            bustle: self.slot.bustle,
        })
    }

    /// The moment `delay_us` before another, not before the window's start.
    pub fn before(&self, moment: Moment, delay_us: i64) -> Moment {
        let earliest = match self.times {
            EventTimes::Live(_) => i64::MIN,
            EventTimes::Spread { start_us, .. } | EventTimes::Flowing { start_us, .. } => start_us,
        };
        let us = moment.us.saturating_sub(delay_us).max(earliest);
        Moment {
            us,
            bustle: self.calendar.at(us),
        }
    }
}

fn floor(us: i64) -> i64 {
    us - us.rem_euclid(HALF_HOUR_US)
}

fn mass(calendar: &Calendar, start_us: i64, end_us: i64) -> f64 {
    let mut sum = 0.0;
    let mut us = start_us;
    while us < end_us {
        sum += calendar.at(us).total();
        us += HALF_HOUR_US;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use std::time::Duration;

    const MIDNIGHT_US: i64 = 1_769_731_200_000_000; // 2026-01-30T00:00:00Z
    const DAY_US: i64 = 48 * HALF_HOUR_US;

    #[test]
    fn a_window_is_filled_from_end_to_end_and_in_order() {
        // GIVEN two days and 10,000 messages. THEN moments never go back, stay in the window, and
        // reach into its first and its last half hour.
        let end_us = MIDNIGHT_US + 2 * DAY_US;
        let times = EventTimes::Spread {
            start_us: MIDNIGHT_US,
            end_us,
            sales: 10_000,
        };
        let mut timeline = Timeline::new(times);
        let moments: Vec<i64> = (0..10_000)
            .map(|i| timeline.at(f64::from(i) + 0.5).unwrap().us)
            .collect();
        assert!(moments.is_sorted());
        assert!(moments[0] >= MIDNIGHT_US && moments[0] < MIDNIGHT_US + HALF_HOUR_US);
        assert!(moments[9_999] < end_us && moments[9_999] >= end_us - HALF_HOUR_US);
    }

    #[test]
    fn a_flow_ends_with_its_window_after_the_volume_of_its_days() {
        let end_us = Some(MIDNIGHT_US + 7 * DAY_US);
        let times = EventTimes::Flowing {
            start_us: MIDNIGHT_US,
            end_us,
            daily_sales: 1_000.0,
        };
        let mut timeline = Timeline::new(times);
        let sales = (0..100_000)
            .take_while(|&i| timeline.at(f64::from(i)).is_some())
            .count();
        assert!((5_500..8_500).contains(&sales), "{sales}");
    }

    #[test]
    fn a_flow_without_end_goes_on() {
        let times = EventTimes::Flowing {
            start_us: MIDNIGHT_US,
            end_us: None,
            daily_sales: 1_000.0,
        };
        let mut timeline = Timeline::new(times);
        let moment = timeline.at(400_000.0).unwrap();
        let days = (moment.us - MIDNIGHT_US) / DAY_US;
        assert!((380..420).contains(&days), "{days}");
    }

    #[test]
    fn live_times_are_the_clocks() {
        let clock = Arc::new(ManualClock::at(MIDNIGHT_US + 11 * 2 * HALF_HOUR_US));
        let mut timeline = Timeline::new(EventTimes::Live(clock.clone()));
        let noon = timeline.at(0.0).unwrap();
        clock.advance(Duration::from_secs(15 * 3600));
        let night = timeline.at(1.0).unwrap();
        assert_eq!(night.us - noon.us, 15 * 3_600_000_000);
        assert!(night.bustle.total() < noon.bustle.total() / 3.0);
    }

    #[test]
    fn lateness_does_not_leave_the_window() {
        let end_us = MIDNIGHT_US + DAY_US;
        let times = EventTimes::Spread {
            start_us: MIDNIGHT_US,
            end_us,
            sales: 100,
        };
        let mut timeline = Timeline::new(times);
        let moment = timeline.at(50.0).unwrap();
        assert_eq!(timeline.before(moment, 1_000_000).us, moment.us - 1_000_000);
        assert_eq!(timeline.before(moment, 30 * DAY_US).us, MIDNIGHT_US);
    }
}
