// Command inventory is the Lambda PreEC2Inventory: it plans, discovers and freezes.
package main

import (
	"context"

	"ec2patch/internal/inventory"
	"ec2patch/internal/lambdamain"
	"ec2patch/internal/wire"
)

func main() {
	lambdamain.Start(func(env wire.Getenv, aws wire.AWS) (func(context.Context,
		inventory.InventoryInput) (any, error), error) {
		t, err := wire.NewInventory(env, aws)
		if err != nil {
			return nil, err
		}
		return t.Handle, nil
	})
}
