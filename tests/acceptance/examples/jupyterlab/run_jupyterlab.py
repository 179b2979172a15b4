if __name__ == "__main__":
    import sys
    from jupyterlab.labapp import main
    sys.exit(main())
