// Package priority is about who goes first when the processors are not enough.
package priority
