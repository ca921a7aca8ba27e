#!/bin/bash
# Speaks the words of parkd's announcements and writes them as WAV files of 8 kHz,
# 16 bits, mono, into internal/rtpmusic/library/words. They are part of the
# repository: this is run only when a word changes, on Debian or Ubuntu, with
#   apt-get install espeak-ng sox
# A word that is added here is added to Vocabulary in internal/orbit, too.
set -euo pipefail
cd "$(dirname "$0")/.."
out=internal/rtpmusic/library/words

# As loud as the music that ships inside parkd, and no peak above -3 dB.
loudness=-20
peak=-3

say() { # name text
	local raw level
	raw=$(mktemp --suffix=.wav)
	espeak-ng -v en-us -s 145 -w "$raw" -- "$2"
	# The silence around a word goes: parkd puts pauses of its own between two.
	sox -D "$raw" -r 8000 -b 16 -c 1 "$out/$1.wav" \
		highpass 120 rate -v 8000 \
		silence 1 0.005 0.3% fade t 0.004 reverse silence 1 0.005 0.3% fade t 0.008 reverse
	level=$(sox "$out/$1.wav" -n stats 2>&1 | awk '/^RMS lev dB/ { print $4 }')
	sox -D "$out/$1.wav" "$raw" gain -l "$(awk "BEGIN { print $loudness - ($level) - ($peak) }")" gain "$peak"
	mv "$raw" "$out/$1.wav"
}

rm -rf "$out"
mkdir -p "$out"
say 0 zero
say 1 one
say 2 two
say 3 three
say 4 four
say 5 five
say 6 six
say 7 seven
say 8 eight
say 9 nine
for letter in {a..z}; do
	say "$letter" "${letter^^}"
done
say star star
say hash hash
say plus plus
say dot dot
say dash dash
say underscore underscore
say parked-on "parked on"
say call-from "call from"
say returning-from "returning from"
say press-1 "press one to take the call"
say unknown-caller "an unknown caller"
chmod 644 "$out"/*.wav
