//go:build !race

package sinktask

const slack = 1
