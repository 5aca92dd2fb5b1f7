//go:build race

package sinktask

// slack is how much more memory a program takes that looks for races.
const slack = 2
