// Package projectedvolume writes the projected volumes of pods as files and keeps them fresh, as a kubelet does: service account
// tokens, config maps, secrets and fields of the pod, in a directory for each volume. Readers always find a whole set of files.
// A new set replaces the old one by the rename of one symbolic link, ..data. While a new set can't be had, the old one stays.
//
// Keeper is the whole of it for the pods of one node: Set and Remove tell it of pods, and Status tells how each volume is.
package projectedvolume
