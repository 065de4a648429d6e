// The scenario of README.md with franz-go.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	topic   = "clients-franz-go"
	records = 200
)

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func step(what string, action func(ctx context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	if err := action(ctx); err != nil {
		fmt.Printf("not ok %s: %s\n", what, strings.ReplaceAll(err.Error(), "\n", " "))
		return
	}
	fmt.Printf("ok %s\n", what)
}

func same[T comparable](expected, found T) error {
	if expected != found {
		return fmt.Errorf("expected %v, found %v", expected, found)
	}
	return nil
}

func produce(ctx context.Context, broker, codec string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(codecs[codec]))
	if err != nil {
		return err
	}
	defer client.Close()
	var batch []*kgo.Record
	for i := range records {
		batch = append(batch, &kgo.Record{
			Key:     fmt.Appendf(nil, "key-%d", i),
			Value:   fmt.Appendf(nil, "%s-%d", codec, i),
			Headers: []kgo.RecordHeader{{Key: "codec", Value: []byte(codec)}},
		})
	}
	return client.ProduceSync(ctx, batch...).FirstErr()
}

func consume(ctx context.Context, broker string, wanted int) (map[string]string, int, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumerGroup(topic), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
	if err != nil {
		return nil, 0, err
	}
	defer client.Close()
	found, count := map[string]string{}, 0
	for count < wanted {
		fetches := client.PollFetches(ctx)
		if err := errors.Join(ctx.Err(), fetches.Err()); err != nil {
			return nil, count, err
		}
		fetches.EachRecord(func(record *kgo.Record) {
			found[string(record.Value)] = string(record.Headers[0].Value)
			count++
		})
	}
	return found, count, client.CommitUncommittedOffsets(ctx)
}

func main() {
	broker := os.Args[1]
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		fmt.Println("not ok client:", err)
		return
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	step("create topic", func(ctx context.Context) error {
		_, err := admin.CreateTopic(ctx, 3, 1, nil, topic)
		return err
	})
	for codec := range codecs {
		step("produce "+codec, func(ctx context.Context) error { return produce(ctx, broker, codec) })
	}
	step("consume and commit", func(ctx context.Context) error {
		found, _, err := consume(ctx, broker, records*len(codecs))
		if err != nil {
			return err
		}
		for value, header := range found {
			if codec, _, _ := strings.Cut(value, "-"); codec != header {
				return same(codec, header)
			}
		}
		return same(records*len(codecs), len(found))
	})
	step("go on from the commit", func(ctx context.Context) error {
		if err := produce(ctx, broker, "none"); err != nil {
			return err
		}
		found, count, err := consume(ctx, broker, records)
		for value := range found {
			if !strings.HasPrefix(value, "none-") {
				return fmt.Errorf("read %s again", value)
			}
		}
		return errors.Join(err, same(records, count))
	})
	step("offsets by time", func(ctx context.Context) error {
		starts, err := admin.ListOffsetsAfterMilli(ctx, 1, topic)
		if err != nil {
			return err
		}
		ends, err := admin.ListEndOffsets(ctx, topic)
		if err != nil {
			return err
		}
		var sum int64
		ends.Each(func(end kadm.ListedOffset) { sum += end.Offset })
		starts.Each(func(start kadm.ListedOffset) { err = errors.Join(err, start.Err, same(int64(0), start.Offset)) })
		return errors.Join(err, same(int64(records*(len(codecs)+1)), sum))
	})
	step("delete topic", func(ctx context.Context) error {
		_, err := admin.DeleteTopic(ctx, topic)
		return err
	})
}
