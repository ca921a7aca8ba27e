package store

import (
	"encoding/binary"
	"hash/crc32"
)

// A record is a key with its value as it is in the file, under a number of its
// own: each record that is ever written has a higher one. Its upper 24 bits are
// the epoch of the owner who wrote it. Records of calls that
// come and go about the same time so lie side by side, and writing one costs
// the same beside ten others and beside ten thousand; under their own keys,
// which are random, each would be in a page of its own.
//
//	CRC-32C over number and all that follows, 4 bytes
//	length of the key, 2 bytes
//	key, value
//
// Integers have their highest byte first. With the number in the checksum, a
// record that turns up in another's place is noticed.
const recordHeader = 6

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(number []byte, rest []byte) uint32 {
	return crc32.Update(crc32.Checksum(number, castagnoli), castagnoli, rest)
}

// numbered is the key of a record in the file.
func numbered(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// epochBits is where the epoch begins in a number.
const epochBits = 40

func epochOf(number uint64) uint64 { return number >> epochBits }
func firstOf(epoch uint64) uint64  { return epoch << epochBits }

// seal appends a record to buf.
func seal(buf []byte, number []byte, key string, value []byte) []byte {
	start := len(buf)
	buf = append(buf, 0, 0, 0, 0)
	buf = binary.BigEndian.AppendUint16(buf, uint16(len(key)))
	buf = append(buf, key...)
	buf = append(buf, value...)
	binary.BigEndian.PutUint32(buf[start:], checksum(number, buf[start+4:]))
	return buf
}

// unseal returns what is in a record, or false when it is damaged.
func unseal(number, record []byte) (key, value []byte, ok bool) {
	if len(record) < recordHeader || binary.BigEndian.Uint32(record) != checksum(number, record[4:]) {
		return nil, nil, false
	}
	end := recordHeader + int(binary.BigEndian.Uint16(record[4:]))
	if end > len(record) {
		return nil, nil, false
	}
	return record[recordHeader:end], record[end:], true
}

// stored is what is in the file under a key.
type stored struct {
	value  []byte // changed by nobody
	number uint64 // of its record
}
