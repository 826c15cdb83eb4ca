package server

import (
	"fmt"
	"math/rand/v2"
)

// randomName makes a name for a version that was given none: two words and,
// to make clashes rare, a number.
func randomName() string {
	first := []string{
		"amber", "brave", "bright", "brisk", "calm", "candid", "clever", "cosmic", "crisp", "daring", "eager", "early", "fancy", "fearless", "fond",
		"frosty", "gentle", "glad", "golden", "happy", "honest", "humble", "jolly", "keen", "kind", "lively", "loyal", "lucid", "lucky", "mellow",
		"merry", "mighty", "nimble", "noble", "patient", "plucky", "polite", "proud", "quick", "quiet", "rapid", "ready", "royal", "silent", "sleek",
		"smart", "snappy", "solid", "sunny", "swift", "tidy", "trusty", "upbeat", "vivid", "warm", "wild", "wise", "witty", "young", "zesty",
	}
	second := []string{
		"badger", "beaver", "bison", "bobcat", "buffalo", "camel", "condor", "cougar", "crane", "cricket", "dolphin", "eagle", "egret", "elk", "falcon",
		"ferret", "finch", "fox", "gecko", "gibbon", "goose", "hamster", "hare", "hawk", "heron", "hornet", "ibis", "iguana", "jackal", "jaguar",
		"koala", "lark", "lemur", "leopard", "lizard", "llama", "lynx", "magpie", "marmot", "marten", "mole", "moose", "newt", "ocelot", "osprey",
		"otter", "owl", "panda", "panther", "parrot", "pelican", "penguin", "puffin", "quail", "raven", "robin", "salmon", "seal", "sparrow", "swan",
		"tapir", "tiger", "toucan", "turtle", "viper", "walrus", "weasel", "wombat", "wren", "zebra",
	}
	return fmt.Sprintf("%s_%s%d", first[rand.IntN(len(first))], second[rand.IntN(len(second))], rand.IntN(100))
}
