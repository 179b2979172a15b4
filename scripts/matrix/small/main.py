print("top")
