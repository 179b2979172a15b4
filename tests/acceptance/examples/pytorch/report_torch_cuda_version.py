if __name__ == "__main__":
    import torch
    print(torch.version.cuda)
