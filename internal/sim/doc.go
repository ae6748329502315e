// Package sim rehearses a whole run: it prepares a stage and the checks that hold it against the rules, plays the
// people who are asked, moves the world until everything has ended, and sums up. One seed, one clock, one thread.
package sim
